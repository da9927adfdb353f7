/* agent/config_free.c: gives a configuration's memory back. */
#include "agent/config.h"

#include "common/mem.h"

static void free_list(char **list)
{
        for (char **p = list; p && *p; p++)
                mem_free(*p);
        mem_free(list);
}

static void secret_done(struct config_secret *s)
{
        mem_free(s->name);
        mem_free(s->path);
        mem_free(s->where);
        if (s->certificate) {
                mem_free(s->certificate->common_name);
                free_list(s->certificate->alt_names);
                free_list(s->certificate->ip_sans);
                free_list(s->certificate->uri_sans);
        }
        mem_free(s->certificate);
        for (size_t i = 0; i < s->allow_len; i++)
                mem_free(s->allow[i].unit);
        mem_free(s->allow);
        for (size_t i = 0; i < s->outputs_len; i++) {
                mem_free(s->outputs[i].path);
                mem_free(s->outputs[i].where);
        }
        mem_free(s->outputs);
}

static void vault_done(struct config_vault *v)
{
        mem_free(v->address);
        mem_free(v->ca_cert);
        mem_free(v->ca_path);
        mem_free(v->client_cert);
        mem_free(v->client_key);
        mem_free(v->tls_server_name);
        mem_free(v->namespace_);
        mem_free(v->proxy);
}

static void auth_done(struct config_auth *a)
{
        mem_free(a->mount_path);
        mem_free(a->role_id_file_path);
        mem_free(a->secret_id_file_path);
        mem_free(a->secret_id_response_wrapping_path);
        mem_free(a->token_file_path);
}

/**
 * config_free() - frees a configuration and all that was borrowed from it
 * @c: as config_load() made it, half-built too, or NULL
 *
 * Return: NULL.
 */
struct config *config_free(struct config *c)
{
        if (!c)
                return NULL;
        vault_done(&c->vault);
        auth_done(&c->auth);
        for (size_t i = 0; i < c->listeners_len; i++) {
                mem_free(c->listeners[i].address);
                mem_free(c->listeners[i].socket_user);
                mem_free(c->listeners[i].socket_group);
                mem_free(c->listeners[i].where);
        }
        mem_free(c->listeners);
        for (size_t i = 0; i < c->secrets_len; i++)
                secret_done(&c->secrets[i]);
        mem_free(c->secrets);
        mem_free(c->state_dir);
        return mem_free(c);
}
