//go:build race

package storage

import "testing"

// A View that asks the table again works until a writer comes between the two.
// Under the race detector it never does.
func TestAViewThatAsksTheTableAgainIsFound(t *testing.T) {
	db := memDB(t)
	again := map[string]func(){
		"a view": func() { _ = db.View(func(Reader, State) error { return nil }) },
		"state":  func() { db.State() },
	}
	for what, ask := range again {
		t.Run(what, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("nothing was said of a table that is asked by who reads it")
				}
			}()
			_ = db.View(func(Reader, State) error { ask(); return nil })
		})
	}
	db.State() // the lock is free again
}
