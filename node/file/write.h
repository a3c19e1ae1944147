/* write.h - small files that survive a power cut: whole or not there, readable by their owner only;
 * and bytes into a descriptor.
 */
#ifndef NODE_FILE_WRITE_H
#define NODE_FILE_WRITE_H

#include "conflict/err.h"
#include "conflict/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_PATH_BYTES 4096

/* DIR/name; ERR_LIMIT when it is too long. */
enum err config_path(char out[CONFIG_PATH_BYTES], const char *dir, const char *name, char msg[256]);
/* Writes DIR/name with mode 0600: a temporary file, its bytes on disk, then its name, then the
 * folder on disk. `keep`: a file that is there already stays as it is, and the answer is
 * ERR_EXISTS. */
enum err config_write_file(const char *dir, const char *name, const void *p, size_t len, bool keep,
                           char msg[256]);
/* Whether so much can be written into the folder now: asked of the file system, and a part of it
 * tried. ERR_FULL, ERR_IO; nothing is left behind. */
enum err file_room(const char *dir, uint64_t bytes, char msg[256]);
/* The names in the folder on disk. */
enum err config_sync_dir(const char *dir, char msg[256]);
/* All of it, however often write takes a part; false, with errno, when it takes no more. */
bool file_write(int fd, const void *p, size_t len);

#endif
