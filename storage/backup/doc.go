// Package backup is the file format of backups: a manifest that says what is
// inside, the table as storage streams it, and a checksum over all of it.
//
// It reads and writes streams; it opens no files, knows no group and no log,
// and decides nothing about who may restore what.
//
// The file, integers big-endian:
//
//	magic     8 bytes  "PARLORBK"
//	format    4 bytes  1, or 2 if the group is above the first feature level
//	length    4 bytes  of the manifest
//	manifest  a JSON object: Manifest
//	snapshot  Manifest.Size bytes: the stream of a storage snapshot
//	end       8 bytes  "PARLOREN"
//	sum      32 bytes  SHA-256 of everything before it
//
// The magic and the place of the format stay in every version to come. The
// manifest may get more fields without a new format; who does not know them
// ignores them.
package backup
