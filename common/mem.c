/* common/mem.c: memory that is there or the process ends. */
#include "common/mem.h"

#include <link.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * Why no caller is asked: Linux overcommits, so malloc() fails only where the process is as good as dead, and a path that
 * runs never is a path that is wrong. What matters is saved before it is acted on, so the service manager's restart is
 * the recovery that works. _exit(): handlers of exit() would allocate.
 */
static void __attribute__((noreturn)) out_of_memory(void)
{
        static const char text[] = "error out of memory; ending\n";

        if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
                _exit(EXIT_FAILURE);
        _exit(EXIT_FAILURE);
}

/**
 * mem_new() - zeroed memory
 * @size: bytes; 0 gives a pointer that can be freed
 *
 * Return: new; never NULL.
 */
void *mem_new(size_t size)
{
        return mem_array(1, size);
}

/**
 * mem_array() - zeroed memory for an array
 * @count: how many
 * @size: bytes of one; a product that overflows counts as no memory
 *
 * Return: new; never NULL.
 */
void *mem_array(size_t count, size_t size)
{
        void *ptr = count && size ? calloc(count, size) : calloc(1, 1);

        if (!ptr)
                out_of_memory();
        return ptr;
}

/**
 * mem_resize() - another size for an array
 * @ptr: stolen; NULL is an empty array
 * @count: how many it holds then
 * @size: bytes of one
 *
 * Not for secrets: the old bytes stay behind where the array moves. The grown part is not zeroed.
 *
 * Return: new; never NULL.
 */
void *mem_resize(void *ptr, size_t count, size_t size)
{
        void *fresh = count && size ? reallocarray(ptr, count, size) : realloc(ptr, 1);

        if (!fresh)
                out_of_memory();
        return fresh;
}

/**
 * mem_strdup() - copy of a string
 * @s: string, or NULL
 *
 * Return: new; NULL for NULL.
 */
char *mem_strdup(const char *s)
{
        return s ? mem_strndup(s, strlen(s)) : NULL;
}

/**
 * mem_strndup() - copy of the first bytes of a text, NUL added
 * @s: text; may lack a NUL, bytes after one are copied too
 * @len: bytes
 *
 * Return: new.
 */
char *mem_strndup(const char *s, size_t len)
{
        if (len == SIZE_MAX)
                out_of_memory();

        char *copy = mem_new(len + 1);

        if (len)
                memcpy(copy, s, len);
        return copy;
}

/**
 * mem_printf() - formatted string
 * @fmt: printf(3) format
 *
 * Return: new.
 */
char *mem_printf(const char *fmt, ...)
{
        char *text;
        va_list ap;
        int len;

        va_start(ap, fmt);
        len = vasprintf(&text, fmt, ap);
        va_end(ap);
        if (len < 0)
                out_of_memory();
        return text;
}

/**
 * mem_free() - gives memory back
 * @ptr: of the functions above, or NULL
 *
 * Return: NULL, to be assigned to the variable that held it.
 */
void *mem_free(void *ptr)
{
        free(ptr);
        return NULL;
}

/**
 * mem_freep() - what cleanup_free calls
 * @ptr_to_ptr: address of any object pointer
 */
void mem_freep(void *ptr_to_ptr)
{
        void *ptr;

        /* memcpy: reading a char * through a void ** would break strict aliasing. */
        memcpy(&ptr, ptr_to_ptr, sizeof(ptr));
        free(ptr);
}

/* Segments that are never written to are the file's pages: what is needed again comes back from the page cache. */
static int drop_code(struct dl_phdr_info *info, size_t size, void *arg)
{
        uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

        (void)size;
        (void)arg;
        for (size_t i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
                uintptr_t begin = info->dlpi_addr + segment->p_vaddr, end = begin + segment->p_memsz;

                if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
                        continue;
                begin &= ~(page - 1);
                (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
        }
        return 0;
}

/**
 * mem_give_back() - gives the kernel back what only the start needed
 *
 * Free pages of the heap, and code that ran once: linking, setting up the libraries, reading the configuration.
 */
void mem_give_back(void)
{
        malloc_trim(0);
        dl_iterate_phdr(drop_code, NULL);
}
