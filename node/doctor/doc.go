// Package doctor looks at a machine with the eyes of Parlor: is the disk fast
// and honest, is the clock right, are the limits wide enough, are the ports
// free, do the certificates last, do the others answer.
//
// It measures and reads; it changes nothing but a file of its own in the data
// folder, which it removes again. It knows no raft and no table: what is to be
// known of the member comes from the caller.
package doctor
