/* ddl.h - the tonle_* tables; the comments in ddl.c are their documentation. */
#ifndef NODE_DB_DDL_H
#define NODE_DB_DDL_H

#define DDL_VERSION 12
extern const char store_ddl[];

#endif
