/* The private keys, as three lines of text:
 *
 *   tonle-keys 1
 *   sign <64 hexadecimal digits>      seed of the Ed25519 key
 *   curve <64 hexadecimal digits>     seed of the CURVE25519 key
 *
 * Made once: a second node that starts at the same moment finds the first one's and uses them.
 */
#include "node/config/config.h"

#include "node/file/hex.h"
#include "node/file/write.h"
#include "protocol/seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS_FILE "keys"
#define SEED_BYTES 32
#define SEED_HEX (2 * SEED_BYTES)
#define HEAD "tonle-keys 1\nsign "
#define MIDDLE "\ncurve "
#define KEYS_BYTES (sizeof HEAD - 1 + SEED_HEX + sizeof MIDDLE - 1 + SEED_HEX + 1)

static void derive(const uint8_t sign[SEED_BYTES], const uint8_t curve[SEED_BYTES],
                   struct keys *out)
{
    memcpy(out->sign_seed, sign, SEED_BYTES);
    seal_keypair(sign, out->sign_key, out->sign_secret);
    seal_curve_keypair(curve, out->curve_key, out->curve_secret);
}

static bool take_seed(const char **at, const char *before, uint8_t seed[SEED_BYTES])
{
    char hex[SEED_HEX + 1];
    size_t n = strlen(before);
    if (strncmp(*at, before, n) != 0 || strlen(*at + n) < SEED_HEX)
        return false;
    memcpy(hex, *at + n, SEED_HEX);
    hex[SEED_HEX] = '\0';
    bool fits = hex_read(hex, seed, SEED_BYTES);
    explicit_bzero(hex, sizeof hex);
    *at += n + SEED_HEX;
    return fits;
}

static bool parse(const char *text, struct keys *out)
{
    uint8_t sign[SEED_BYTES], curve[SEED_BYTES];
    bool fits =
        take_seed(&text, HEAD, sign) && take_seed(&text, MIDDLE, curve) && strcmp(text, "\n") == 0;
    if (fits)
        derive(sign, curve, out);
    explicit_bzero(sign, sizeof sign);
    explicit_bzero(curve, sizeof curve);
    return fits;
}

enum err keys_load(const char *dir, struct keys *out, char msg[256])
{
    char path[CONFIG_PATH_BYTES], text[KEYS_BYTES + 2] = "";
    struct stat st;
    enum err err = config_path(path, dir, KEYS_FILE, msg);
    if (err)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        snprintf(msg, 256, "%.160s: cannot be read: %s", path, strerror(errno));
        return err;
    }
    ssize_t n = read(fd, text, sizeof text - 1);
    if (fstat(fd, &st) != 0 || n < 0) {
        snprintf(msg, 256, "%.160s: cannot be read: %s", path, strerror(errno));
        err = ERR_IO;
    } else if (st.st_mode & 077) {
        snprintf(msg, 256, "%.160s: others may read these private keys; run: chmod 600 %.60s", path,
                 KEYS_FILE);
        err = ERR_REFUSED;
    } else if (!parse(text, out)) {
        snprintf(msg, 256, "%.160s: damaged; put it back from a backup, or join again", path);
        err = ERR_CORRUPT;
    }
    close(fd);
    explicit_bzero(text, sizeof text);
    return err;
}

static enum err random_seed(uint8_t seed[SEED_BYTES], char msg[256])
{
    if (getrandom(seed, SEED_BYTES, 0) == SEED_BYTES)
        return ERR_OK;
    snprintf(msg, 256, "no randomness for new keys: %s", strerror(errno));
    return ERR_IO;
}

static enum err make_text(char text[KEYS_BYTES + 1], char msg[256])
{
    uint8_t sign[SEED_BYTES], curve[SEED_BYTES];
    char sign_hex[SEED_HEX + 1], curve_hex[SEED_HEX + 1];
    enum err err = random_seed(sign, msg);
    if (!err)
        err = random_seed(curve, msg);
    if (!err) {
        hex_write(sign_hex, sign, SEED_BYTES);
        hex_write(curve_hex, curve, SEED_BYTES);
        snprintf(text, KEYS_BYTES + 1, HEAD "%s" MIDDLE "%s\n", sign_hex, curve_hex);
        explicit_bzero(sign_hex, sizeof sign_hex);
        explicit_bzero(curve_hex, sizeof curve_hex);
    }
    explicit_bzero(sign, sizeof sign);
    explicit_bzero(curve, sizeof curve);
    return err;
}

enum err keys_make(const char *dir, struct keys *out, char msg[256])
{
    char text[KEYS_BYTES + 1];
    enum err err = keys_load(dir, out, msg);
    if (err != ERR_NOT_FOUND)
        return err;
    err = make_text(text, msg);
    if (!err)
        err = config_write_file(dir, KEYS_FILE, text, KEYS_BYTES, true, msg);
    explicit_bzero(text, sizeof text);
    return err && err != ERR_EXISTS ? err : keys_load(dir, out, msg);
}
