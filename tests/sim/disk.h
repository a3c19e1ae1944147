/* disk.h - a whole SQLite "disk" in memory that can lose power.
 *
 * Every file has live bytes and durable bytes; xSync copies live to durable. disk_crash rebuilds
 * the live bytes of a machine's files from the durable ones plus a random subset of the 512-byte
 * sectors that differ, undoes or keeps creations and deletions that were not synced, and kills
 * every open handle. Locks and shared memory (WAL) work between connections of one process.
 * Deterministic: all chance comes from the generator given.
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_VFS "tonle-sim"

struct disk;
struct disk *disk_new(uint64_t seed); /* registers the VFS; one disk at a time */
void disk_free(struct disk *d);
void disk_crash(struct disk *d, const char *prefix); /* every file whose name begins with it */
void disk_copy(struct disk *d, const char *from,
               const char *to); /* a backup or a clone of a file and its -wal, -journal */
/* The nth (1, 2...) write or sync from now on of files with this prefix fails, and all that follow,
 * until the crash: the machine is dying. 0: never. */
void disk_fail_after(struct disk *d, const char *prefix, uint64_t nth);
bool disk_failed(struct disk *d);
void disk_set_time(struct disk *d, uint64_t wall_ms);
uint64_t disk_hash(struct disk *d); /* of all live bytes: for the trace */

#endif
