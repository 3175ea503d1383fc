//go:build !linux

package main

import "context"

// useLargePages does nothing: other systems are not asked like this.
func useLargePages(context.Context) {}
