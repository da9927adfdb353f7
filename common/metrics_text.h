/* common/metrics_text.h: the pieces of Prometheus text, format 0.0.4. */
#ifndef COMMON_METRICS_TEXT_H
#define COMMON_METRICS_TEXT_H

struct buf;

void metrics_text_head(struct buf *out, const char *name, const char *help, const char *type); /* # HELP and # TYPE */
void metrics_text_label(struct buf *out, const char *name, const char *value);                 /* name="value" */
void metrics_text_value(struct buf *out, double value); /* as short as it reads back the same */

#endif
