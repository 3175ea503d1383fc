//go:build race

package storage

import "testing"

// A View that asks the table again works until a writer comes between the two.
// The race detector's builds do not wait for one.
func TestAViewThatAsksTheTableAgainIsFound(t *testing.T) {
	db := memDB(t)
	again := map[string]func(){
		"a view":  func() { _ = db.View(func(Reader, State) error { return nil }) },
		"state":   func() { db.State() },
		"a batch": func() { db.Begin().Abort() },
	}
	for what, ask := range again {
		t.Run(what, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("nothing was said of a table that is asked by who has it")
				}
			}()
			_ = db.View(func(Reader, State) error { ask(); return nil })
		})
	}
	db.State() // the lock is free again
}
