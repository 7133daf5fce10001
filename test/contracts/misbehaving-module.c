/*
 * A PKCS#11 module that passes every call on to SoftHSM2, until the file named by KAZASU_MISBEHAVIOUR says how to
 * misbehave. Tries to log in are counted in a file beside it, one character each.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long number;
struct attribute {
  number type;
  void *value;
  number length;
};
struct token_info {
  char label[32], manufacturer[32], model[16], serial[16];
  number flags;
};
enum { get_token_info = 6, login = 18, create_object = 20, get_attribute_value = 24, sign_init = 42, functions = 68 };
enum { attribute_type_invalid = 0x12, device_error = 0x30, template_inconsistent = 0xd1 };
enum { modifiable = 0x170, copyable = 0x171, with_trusted = 0x210 };
enum { final_try = 0x20000, locked = 0x40000 };
struct function_list {
  unsigned char major, minor;
  void *function[functions];
};
static struct function_list ours, theirs;

static int told(const char *misbehaviour) {
  char word[32] = "";
  const char *path = getenv("KAZASU_MISBEHAVIOUR");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (!file) return 0;
  if (!fgets(word, sizeof word, file)) word[0] = 0;
  fclose(file);
  return !strcmp(word, misbehaviour);
}

static void count_login(void) {
  char path[4096];
  snprintf(path, sizeof path, "%s.logins", getenv("KAZASU_MISBEHAVIOUR"));
  FILE *file = fopen(path, "a");
  if (!file) abort();
  fputc('x', file);
  fclose(file);
}

static number our_sign_init(number session, void *mechanism, number key) {
  if (told("hang")) for (;;) pause();
  if (told("crash")) abort();
  if (told("slow")) usleep(50 * 1000);
  return ((number(*)(number, void *, number))theirs.function[sign_init])(session, mechanism, key);
}

static number our_get_token_info(number slot, struct token_info *info) {
  number result = ((number(*)(number, void *))theirs.function[get_token_info])(slot, info);
  if (told("final-try")) info->flags |= final_try;
  if (told("locked")) info->flags |= locked;
  return result;
}

static number our_login(number session, number user, void *pin, number length) {
  count_login();
  if (told("crash-login")) abort();
  if (told("slow-login")) sleep(3);
  if (told("lost-login")) return device_error;
  return ((number(*)(number, number, void *, number))theirs.function[login])(session, user, pin, length);
}

static number our_create_object(number session, struct attribute *template, number count, number *object) {
  if (told("slow-write")) sleep(3);
  if (told("closed")) return template_inconsistent;
  for (number i = 0; i < count; i++) {
    number type = template[i].type;
    if (told("old") && (type == copyable || type == with_trusted)) return attribute_type_invalid;
    if (told("careless") && type == modifiable) *(char *)template[i].value = 1;
  }
  return ((number(*)(number, void *, number, number *))theirs.function[create_object])(session, template, count, object);
}

static number our_get_attribute_value(number session, number object, struct attribute *template, number count) {
  for (number i = 0; i < count; i++) {
    number type = template[i].type;
    if (told("old") && (type == copyable || type == with_trusted)) return attribute_type_invalid;
  }
  return ((number(*)(number, number, void *, number))theirs.function[get_attribute_value])(session, object, template, count);
}

number C_GetFunctionList(struct function_list **list) {
  void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
  number (*get)(struct function_list **) = dlsym(library, "C_GetFunctionList");
  struct function_list *found;
  number result = get(&found);
  if (result) return result;
  ours = theirs = *found;
  ours.function[get_token_info] = (void *)our_get_token_info;
  ours.function[login] = (void *)our_login;
  ours.function[create_object] = (void *)our_create_object;
  ours.function[get_attribute_value] = (void *)our_get_attribute_value;
  ours.function[sign_init] = (void *)our_sign_init;
  *list = &ours;
  return 0;
}
