/* app/main.c: the command line of notesd. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                puts("notesd " LEASEKEEPER_VERSION);
                return 0;
        }
        fputs("usage: notesd --version\n", stderr);
        return 2;
}
