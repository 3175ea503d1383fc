package storage

import "errors"

// ErrDamaged is in the error that Options.Fatal is called with if a row is not
// what was written.
var ErrDamaged = errors.New("the disk has given back something else than was written")

// State is the state machine's state in a snapshot that Finish found good.
func (in *Incoming) State() State { return in.state }

// Meta is what a snapshot that Finish found good is filed under.
func (in *Incoming) Meta() Meta { return in.meta }

// Size is the length of the data file that was received, in bytes.
func (in *Incoming) Size() int64 { return in.size }
