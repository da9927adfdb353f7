/* common/log.h: one line an event on stderr, as text or JSON. Never give it a secret. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG, LOG_LEVEL_TRACE };

struct log_field {
        const char *name; /* a word of ours */
        const char *text; /* NULL: it is the number */
        uint64_t number;
};

/* "error" "err" "warn" "info" "debug" "trace"; -EINVAL */
int log_level_parse(const char *text, enum log_level *ret_level);
void log_setup(const char *program, enum log_level level, bool json);
bool log_enabled(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "what name=value ...", or with each field as a member of the JSON object: for lines that programs count. */
void log_fields(enum log_level level, const char *what, const struct log_field *fields, size_t len);

#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_msg(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
