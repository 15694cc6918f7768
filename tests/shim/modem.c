/* A fake for where there is no serial port: gives a pseudo-terminal the modem lines that it lacks.
 * Loaded with LD_PRELOAD. It answers TIOCMGET, TIOCMBIS and TIOCMBIC; all else is real. Like a port
 * that has just been opened, it begins with both lines up.
 *
 * MODEM_LOG   a file that gets a line per change: milliseconds, process, RTS, DTR (0 or 1)
 * MODEM_FAIL  "bis" or "bic": this call fails with EIO at once ("bis") or from the fourth on ("bic"), which
 *             is the first that releases; "dip": from the fourth to the eighth
 * MODEM_STOP  a process is stopped just before it executes a program, as by a Ctrl-Z then
 *
 * What the kernel does when a port is closed is not here: the lab has that. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Shared with a guardian process, which is a fork. */
static int *lines;

__attribute__((constructor)) static void begin(void)
{
    lines = mmap(NULL, sizeof *lines, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED)
        abort();
    *lines = TIOCM_RTS | TIOCM_DTR;
}

static void put(int now)
{
    const char *path = getenv("MODEM_LOG");
    struct timespec t;
    char text[80];
    int fd, length;

    if (now == *lines || !path)
        return;
    *lines = now;
    clock_gettime(CLOCK_MONOTONIC, &t);
    length = snprintf(text, sizeof text, "%lld %d %d %d\n", t.tv_sec * 1000LL + t.tv_nsec / 1000000,
                      (int)getpid(), !!(now & TIOCM_RTS), !!(now & TIOCM_DTR));
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd >= 0) {
        if (write(fd, text, length) < 0)
            abort();
        close(fd);
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    static int (*real)(int, unsigned long, ...);
    static int cleared;
    const char *fail = getenv("MODEM_FAIL");
    va_list arguments;
    int *bits;

    va_start(arguments, request);
    bits = va_arg(arguments, int *);
    va_end(arguments);
    if (!fail)
        fail = "";
    switch (request) {
    case TIOCMGET:
        *bits = *lines | TIOCM_CTS;
        return 0;
    case TIOCMBIS:
        if (strcmp(fail, "bis") == 0)
            return errno = EIO, -1;
        put(*lines | *bits);
        return 0;
    case TIOCMBIC:
        cleared++;
        if (cleared > 3 && (strcmp(fail, "bic") == 0 || (strcmp(fail, "dip") == 0 && cleared < 9)))
            return errno = EIO, -1;
        put(*lines & ~*bits);
        return 0;
    }
    if (!real)
        real = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    return real(fd, request, bits);
}

int execvp(const char *file, char *const argv[])
{
    int (*real)(const char *, char *const[]) = (int (*)(const char *, char *const[]))dlsym(RTLD_NEXT, "execvp");

    if (getenv("MODEM_STOP"))
        raise(SIGSTOP);
    return real(file, argv);
}
