/* limits.h - the hard limits on everything that comes from outside, checked before allocation.
 *
 * One place, so that a reader sees what a hostile peer can make a node spend.
 */
#ifndef PROTOCOL_LIMITS_H
#define PROTOCOL_LIMITS_H

#define LIMIT_MESSAGE_BYTES (24u << 20) /* one ZeroMQ message */
#define LIMIT_CHANGESET_BYTES                                                                      \
    (20u                                                                                           \
     << 20) /* one sealed changeset: SEAL_BYTES and one largest row                            \
                 */
#define LIMIT_SEGMENT_RAW_BYTES (24u << 20)   /* one segment, decompressed */
#define LIMIT_CHANGESET_RAW_BYTES (24u << 20) /* all segments of a changeset, decompressed */
#define LIMIT_RATIO_FREE_BYTES (1u << 20)     /* up to here compression may be as good as it is, */
#define LIMIT_RATIO 1000u                     /* beyond it no better than so many to one */
#define LIMIT_SEGMENTS 512u
#define LIMIT_TABLES 512u  /* tables in a segment */
#define LIMIT_COLUMNS 256u /* replicated columns of a table */
#define LIMIT_KEY_COLUMNS 16u
#define LIMIT_REFERENCES 16u         /* foreign keys of a table whose parents are named */
#define LIMIT_KEY_BYTES 8192u        /* canonical bytes of a key */
#define LIMIT_ROWS 20000u            /* rows in a changeset */
#define LIMIT_VALUE_BYTES (8u << 20) /* one value */
#define LIMIT_ROW_BYTES (12u << 20)  /* all values of a row */
#define LIMIT_CLOCK_ENTRIES 65536u
#define LIMIT_NAME_BYTES 256u     /* names of nodes, tables, columns, units */
#define LIMIT_TEXT_BYTES 4096u    /* reasons, endpoints */
#define LIMIT_KEEP_BIRTHS 200000u /* births listed in one stable message */
#define LIMIT_CHUNK_ROWS 5000u    /* rows in a load or digest chunk */
#define LIMIT_DIGEST_LEAVE 200u /* values of one office that a digest leaves out; of both: twice */
#define LIMIT_DIGEST_ROWS 2000u /* rows in a slice of a digest */
#define LIMIT_CLOCKS_OFF 16u    /* wrong clocks named in one heartbeat */

#define SEAL_ROWS 5000u         /* a seal takes at most as many rows (the lock budget) */
#define SEAL_BYTES (4u << 20)   /* and stops adding rows beyond as many bytes of values */
#define CREDIT_BYTES (8u << 20) /* what a receiver grants at first and keeps topped up */

#endif
