/* agent/main.c: the command line of leasekeeperd. */
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "--version") == 0) {
                puts("leasekeeperd " LEASEKEEPER_VERSION);
                return 0;
        }
        fputs("usage: leasekeeperd --version\n", stderr);
        return 2;
}
