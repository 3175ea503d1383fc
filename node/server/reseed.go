package server

import (
	"context"

	"github.com/parlorchat/parlor/node"
)

// ReseedStopped gives the stopped member of a data folder the state of its
// group: see node.ReseedStopped.
func ReseedStopped(ctx context.Context, dir string) (node.Reseeded, error) {
	return node.ReseedStopped(ctx, Options{Dir: dir}.memberOptions(Table()))
}
