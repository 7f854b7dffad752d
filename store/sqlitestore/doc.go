// Package sqlitestore keeps keyhatch's records in one SQLite file. It needs no
// server, no C compiler and no configuration:
//
//	st, err := sqlitestore.Open(ctx, "keys.db")
//	defer st.Close()
//	keys, err := apikey.New(st, nil)
//
// It is a [sqlstore.Store] on modernc.org/sqlite, with all settings that keys need.
// A host that already has a SQLite database can keep its keys there with
// sqlstore.New.
//
// # Durability
//
// When a write has returned nil, it is on the disk. It survives a crash of the
// process and a power cut, provided that the disk writes its cache when asked to.
//
// # Sharing
//
// Several processes on one machine may open the same file. SQLite relies on file
// locks and shared memory, so the file must not be on a network file system.
// Machines that share keys need a database server.
//
// While the file is open, there are two more files next to it, with the endings
// "-wal" and "-shm". They are part of the database. To back up, copy all three
// while no process has the file open, or use SQLite's VACUUM INTO.
package sqlitestore
