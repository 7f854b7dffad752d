// Package sqlitestore keeps keyhatch's records in one SQLite file. It needs no
// server, no C compiler and no settings:
//
//	st, err := sqlitestore.Open(ctx, "keys.db")
//	defer st.Close()
//	keys, err := apikey.New(st, nil)
//
// It is a [sqlstore.Store] on modernc.org/sqlite with everything set that
// keeping keys asks for. A host with a SQLite database of its own can keep the
// keys there by calling sqlstore.New.
//
// # Durability
//
// What a call acknowledged is on the disk: it survives the death of the process
// and a power cut, as far as the disk keeps its own promises.
//
// # Sharing
//
// Several processes of one machine may open the same file. SQLite relies on
// file locks and shared memory, so the file must not be on a network file
// system; machines that share keys need a database server. Beside the file lie
// two more while it is open, named after it with the endings "-wal" and "-shm".
// They belong to it: copy the three together while nothing is open, or back up
// with SQLite's own VACUUM INTO.
package sqlitestore
