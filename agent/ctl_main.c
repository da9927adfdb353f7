/* agent/ctl_main.c: the command line of leasekeeper. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                puts("leasekeeper " LEASEKEEPER_VERSION);
                return 0;
        }
        fputs("usage: leasekeeper --version\n", stderr);
        return 2;
}
