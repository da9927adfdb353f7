/* agent/output_file_format.h: what stands in the files: a secret's data as JSON, as environment lines, as PEM. Pure. */
#ifndef AGENT_OUTPUT_FILE_FORMAT_H
#define AGENT_OUTPUT_FILE_FORMAT_H

#include "agent/config.h"
#include "common/json.h"

struct secret;

struct pem_files { /* of a directory block */
        struct secret *cert, *key, *ca;
};

/* Both: 0; -EINVAL: ret_error (new) says what does not fit; no content in it. */
int output_format_file(enum output_format format, const struct secret *data, struct secret **ret_text,
                       char **ret_error);
int output_format_directory(const struct secret *data, struct pem_files *ret_files, char **ret_error);
void pem_files_done(struct pem_files *f);

#endif
