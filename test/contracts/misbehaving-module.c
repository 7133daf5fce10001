/*
 * A PKCS#11 module that passes every call on to SoftHSM2, until a file says how to misbehave: while the file named by
 * KAZASU_MISBEHAVIOUR holds "hang", signing never returns; while it holds "crash", it ends the process.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { sign_init = 42, functions = 68 };
struct function_list {
  unsigned char major, minor;
  void *function[functions];
};
static struct function_list ours;
static unsigned long (*real_sign_init)(unsigned long, void *, unsigned long);

static unsigned long misbehaving_sign_init(unsigned long session, void *mechanism, unsigned long key) {
  char word[16] = "";
  const char *path = getenv("KAZASU_MISBEHAVIOUR");
  FILE *file = path ? fopen(path, "r") : NULL;
  if (file) {
    if (!fgets(word, sizeof word, file)) word[0] = 0;
    fclose(file);
  }
  if (!strncmp(word, "hang", 4)) for (;;) pause();
  if (!strncmp(word, "crash", 5)) abort();
  return real_sign_init(session, mechanism, key);
}

unsigned long C_GetFunctionList(struct function_list **list) {
  void *library = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW);
  unsigned long (*get)(struct function_list **) = dlsym(library, "C_GetFunctionList");
  struct function_list *theirs;
  unsigned long result = get(&theirs);
  if (result) return result;
  ours = *theirs;
  real_sign_init = (unsigned long (*)(unsigned long, void *, unsigned long))ours.function[sign_init];
  ours.function[sign_init] = (void *)misbehaving_sign_init;
  *list = &ours;
  return 0;
}
