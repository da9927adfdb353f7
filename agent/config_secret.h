/* agent/config_secret.h: the parts of a secret's block that have a file of their own. */
#ifndef AGENT_CONFIG_SECRET_H
#define AGENT_CONFIG_SECRET_H

#include "agent/config_read.h"

/* file and directory blocks: the field is the struct config_secret. */
void config_read_file(struct config_reader *r, const struct hcl_node *value, void *secret);
void config_read_directory(struct config_reader *r, const struct hcl_node *value, void *secret);

#endif
