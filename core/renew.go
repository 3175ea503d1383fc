package core

import "github.com/parlorchat/parlor/storage/keyspace"

// Renew begins a new history in a state that is about to take the place of
// another one: a backup that is restored, a group that goes on after it lost
// its majority. Event numbers may come twice from here on, so the epoch that
// they belong to changes, and whoever asks for what followed a number of the
// former one is told to begin anew. Leases count from now, as after a time
// without a leader.
func Renew(tx *keyspace.Tx, epoch string) error {
	if err := checkID("epoch", epoch); err != nil {
		return err
	}
	at := count(tx.Now())
	return setHash(tx, keyGroup, field{"epoch", epoch}, field{"restored_at", at}, field{"resumed_at", at})
}
