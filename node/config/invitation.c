/* An invitation: "tonle1:" and base64url (RFC 4648 section 5, without padding) of a JSON object.
 *
 *   federation, federation_name, node, unit,
 *   parent, listen, parent_endpoint, hub_node   strings
 *   parent_key, hub_key, secret                 64 hexadecimal digits
 *   hub_site                                    16 hexadecimal digits (JSON numbers of other
 *                                               programs lose bits)
 *   expires_ms                                  number
 *   check                                       16 hexadecimal digits, FNV-1a of the object without
 *                                               it, sorted and compact
 *
 * It travels by paper, telephone and chat, so each kind of damage has its own sentence. The check
 * finds accidents only; what an invitation is worth is decided at the hub, by its secret.
 */
#include "node/config/config.h"

#include "conflict/value.h"
#include "node/file/hex.h"
#include "protocol/limits.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX "tonle1:"
#define MAX_LINE_BYTES 16384

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static char *base64_encode(struct arena *a, const char *prefix, const uint8_t *p, size_t n)
{
    size_t head = strlen(prefix), at = head;
    char *out = arena_alloc(a, head + (n + 2) / 3 * 4 + 1);
    memcpy(out, prefix, head);
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? p[i + 2] : 0);
        out[at++] = alphabet[v >> 18];
        out[at++] = alphabet[v >> 12 & 63];
        if (left > 1)
            out[at++] = alphabet[v >> 6 & 63];
        if (left > 2)
            out[at++] = alphabet[v & 63];
    }
    out[at] = '\0';
    return out;
}

/* Skips white space and padding. False on any other character. */
static bool base64_decode(const char *s, char *out, size_t *n)
{
    uint32_t v = 0;
    unsigned bits = 0;
    *n = 0;
    for (; *s; s++) {
        if (strchr(" \t\r\n=", *s))
            continue;
        const char *found = strchr(alphabet, *s);
        if (!found)
            return false;
        v = v << 6 | (uint32_t)(found - alphabet);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[(*n)++] = (char)(v >> bits & 255);
        }
    }
    return true;
}

/* "check" of the object as it stands, without its "check". */
static bool check_of(json_t *object, char hex[17])
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return false;
    uint64_t h = bytes_hash(VALUE_HASH_SEED, text, strlen(text));
    free(text);
    snprintf(hex, 17, "%016llx", (unsigned long long)h);
    return true;
}

static void set_key(json_t *object, const char *name, const uint8_t key[32])
{
    char hex[65];
    hex_write(hex, key, 32);
    json_object_set_new(object, name, json_string(hex));
    explicit_bzero(hex, sizeof hex);
}

enum err invitation_encode(struct arena *a, const struct invitation *i, const char **line)
{
    char hex[17];
    enum err err = ERR_MALFORMED;
    json_t *o = json_object();
    const char *const texts[][2] = {{"federation", i->federation},
                                    {"federation_name", i->federation_name},
                                    {"node", i->node},
                                    {"unit", i->unit},
                                    {"parent", i->parent},
                                    {"listen", i->listen ? i->listen : ""},
                                    {"parent_endpoint", i->parent_endpoint},
                                    {"hub_node", i->hub_node}};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        if (json_object_set_new(o, texts[k][0], json_string(texts[k][1])) != 0)
            goto out; /* missing, or not UTF-8 */
    set_key(o, "parent_key", i->parent_curve_key);
    set_key(o, "hub_key", i->hub_sign_key);
    set_key(o, "secret", i->enrol_secret);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)i->hub_site);
    json_object_set_new(o, "hub_site", json_string(hex));
    json_object_set_new(o, "expires_ms", json_integer((json_int_t)i->expires_ms));
    if (!check_of(o, hex))
        goto out;
    json_object_set_new(o, "check", json_string(hex));
    char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
    if (text) {
        *line = base64_encode(a, PREFIX, (const uint8_t *)text, strlen(text));
        err = ERR_OK;
        free(text);
    }
out:
    json_decref(o);
    return err;
}

/* A string without control characters, at most `most` bytes; NULL otherwise. */
static const char *take_text(struct arena *a, const json_t *o, const char *name, size_t least,
                             size_t most)
{
    const json_t *v = json_object_get(o, name);
    const char *s = json_string_value(v);
    if (!s || json_string_length(v) < least || json_string_length(v) > most)
        return NULL;
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return NULL;
    return arena_strdup(a, s);
}

static bool take_key(const json_t *o, const char *name, uint8_t *key, size_t n)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s && hex_read(s, key, n);
}

static bool is_unit(const char *s)
{
    size_t n = strlen(s);
    return n <= 6 && n % 2 == 0 && strspn(s, "0123456789") == n;
}

/* The name of the first part that is missing or unfit; NULL when all is there. */
static const char *take_parts(struct arena *a, const json_t *o, struct invitation *i)
{
    uint8_t site[8];
    const struct {
        const char *name, **to;
        size_t least, most;
    } texts[] = {{"federation", &i->federation, 1, LIMIT_NAME_BYTES},
                 {"federation_name", &i->federation_name, 0, LIMIT_NAME_BYTES},
                 {"node", &i->node, 1, LIMIT_NAME_BYTES},
                 {"unit", &i->unit, 0, 6},
                 {"parent", &i->parent, 1, LIMIT_NAME_BYTES},
                 {"listen", &i->listen, 0, LIMIT_TEXT_BYTES},
                 {"parent_endpoint", &i->parent_endpoint, 1, LIMIT_TEXT_BYTES},
                 {"hub_node", &i->hub_node, 1, LIMIT_NAME_BYTES}};
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
        if (!(*texts[k].to = take_text(a, o, texts[k].name, texts[k].least, texts[k].most)))
            return texts[k].name;
    if (!is_unit(i->unit))
        return "unit";
    if (!take_key(o, "parent_key", i->parent_curve_key, CURVE_KEY_BYTES))
        return "parent_key";
    if (!take_key(o, "hub_key", i->hub_sign_key, SIGN_PUBLIC_BYTES))
        return "hub_key";
    if (!take_key(o, "secret", i->enrol_secret, INVITE_SECRET_BYTES))
        return "secret";
    if (!take_key(o, "hub_site", site, sizeof site))
        return "hub_site";
    i->hub_site = 0;
    for (size_t k = 0; k < sizeof site; k++)
        i->hub_site = i->hub_site << 8 | site[k];
    const json_t *expires = json_object_get(o, "expires_ms");
    if (!json_is_integer(expires) || json_integer_value(expires) <= 0)
        return "expires_ms";
    i->expires_ms = (uint64_t)json_integer_value(expires);
    return NULL;
}

static enum err refuse(char msg[256], const char *text)
{
    snprintf(msg, 256, "%s", text);
    return ERR_MALFORMED;
}

static enum err take_object(struct arena *a, json_t *o, struct invitation *i, char msg[256])
{
    char hex[17];
    const char *check = take_text(a, o, "check", 16, 16);
    json_object_del(o, "check");
    if (!check || !check_of(o, hex) || strcmp(check, hex) != 0)
        return refuse(msg,
                      "the invitation was changed on its way (a character is wrong or missing); "
                      "copy the whole line again");
    const char *part = take_parts(a, o, i);
    if (!part)
        return ERR_OK;
    snprintf(msg, 256,
             "the invitation's '%s' is missing or unfit; ask for a new one (tonle node add)", part);
    return ERR_MALFORMED;
}

enum err invitation_decode(struct arena *a, const char *line, struct invitation *i, char msg[256])
{
    size_t n = 0;
    memset(i, 0, sizeof *i);
    line += strspn(line, " \t\r\n");
    if (strncmp(line, PREFIX, strlen(PREFIX)) != 0)
        return refuse(msg, "this is not an invitation: it must begin with " PREFIX
                           " (the line that 'tonle node add' printed)");
    line += strlen(PREFIX);
    if (strlen(line) > MAX_LINE_BYTES)
        return refuse(msg, "this is not an invitation: it is too long");
    char *text = arena_alloc(a, strlen(line) + 1);
    if (!base64_decode(line, text, &n))
        return refuse(msg,
                      "the invitation has a character that does not belong there; copy the whole "
                      "line again, and only it");
    if (n == 0 || text[n - 1] != '}')
        return refuse(msg, "the invitation was cut off; copy the whole line again");
    json_t *o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(o)) {
        json_decref(o);
        return refuse(msg,
                      "the invitation was changed on its way (a character is wrong or missing); "
                      "copy the whole line again");
    }
    enum err err = take_object(a, o, i, msg);
    json_decref(o);
    return err;
}

enum err invitation_check_time(const struct invitation *i, uint64_t now_ms, char msg[256])
{
    char when[32] = "a day long ago";
    struct tm tm;
    time_t at = (time_t)(i->expires_ms / 1000);
    if (now_ms <= i->expires_ms)
        return ERR_OK;
    if (gmtime_r(&at, &tm))
        strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", &tm);
    snprintf(msg, 256,
             "the invitation expired on %s (if this machine's clock is right); ask for a new "
             "one: tonle node add",
             when);
    return ERR_REFUSED;
}
