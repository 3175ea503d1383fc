package core

import "github.com/parlorchat/parlor/storage/command"

// Commands gives the domain's commands for the table.
func Commands() []command.Spec {
	var all []command.Spec
	for _, group := range [][]command.Spec{} {
		all = append(all, group...)
	}
	return all
}

// VisitorFields are the fields that VISITOR.CREATE, VISITOR.PAGE and
// VISITOR.UPDATE take, with the most bytes that each may have.
func VisitorFields() map[string]int {
	limits := map[string]int{}
	for _, f := range visitorFields {
		limits[f.name] = f.limit
	}
	return limits
}
