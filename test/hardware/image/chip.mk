# one module: the kernel of Debian has neither of its two parts
obj-m := emulated-gpio.o
emulated-gpio-y := gpio-sim.o irq_sim.o
