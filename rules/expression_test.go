package rules

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree is an expression as a reader of the documentation would understand it:
// the reference that the parser is compared with.
type tree struct {
	op          string // "and", "or", "not" or "" for a condition
	leaf        int    // from 1
	left, right *tree
}

func (t *tree) holds(leaves []bool) bool {
	switch t.op {
	case "and":
		return t.left.holds(leaves) && t.right.holds(leaves)
	case "or":
		return t.left.holds(leaves) || t.right.holds(leaves)
	case "not":
		return !t.left.holds(leaves)
	}
	return leaves[t.leaf-1]
}

var precedence = map[string]int{"or": 1, "and": 2, "not": 3, "": 4}

// text writes the tree with the brackets that precedence needs, and sometimes
// more, in any case and spacing.
func (t *tree) text(r *rand.Rand, outer int) string {
	var s string
	switch t.op {
	case "":
		s = fmt.Sprint(t.leaf)
	case "not":
		s = word(r, "not") + space(r) + t.left.text(r, precedence["not"])
	default:
		p := precedence[t.op]
		s = t.left.text(r, p) + space(r) + word(r, t.op) + space(r) + t.right.text(r, p+1)
	}
	if precedence[t.op] < outer || r.Intn(6) == 0 {
		return "(" + strings.Repeat(" ", r.Intn(2)) + s + strings.Repeat(" ", r.Intn(2)) + ")"
	}
	return s
}

func word(r *rand.Rand, s string) string {
	if r.Intn(2) == 0 {
		return strings.ToUpper(s)
	}
	return s
}

func space(r *rand.Rand) string { return []string{" ", "  ", "\t", "\n"}[r.Intn(4)] }

func genTree(leaves int) *rapid.Generator[*tree] {
	var gen func(depth int) *rapid.Generator[*tree]
	gen = func(depth int) *rapid.Generator[*tree] {
		return rapid.Custom(func(t *rapid.T) *tree {
			ops := []string{"", "and", "or", "not"}
			if depth == 0 {
				ops = ops[:1]
			}
			switch op := rapid.SampledFrom(ops).Draw(t, "op"); op {
			case "":
				return &tree{leaf: rapid.IntRange(1, leaves).Draw(t, "leaf")}
			case "not":
				return &tree{op: op, left: gen(depth-1).Draw(t, "left")}
			default:
				return &tree{op: op, left: gen(depth-1).Draw(t, "left"), right: gen(depth-1).Draw(t, "right")}
			}
		})
	}
	return gen(4)
}

func TestExpressionHasItsTruthTable(t *testing.T) {
	const leaves = 4
	rapid.Check(t, func(t *rapid.T) {
		want := genTree(leaves).Draw(t, "tree")
		source := want.text(rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed"))), 0)
		if len(source) > maxExpression {
			t.Skip("longer than allowed")
		}
		got, err := parseExpression(source, 0, leaves)
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		for row := 0; row < 1<<leaves; row++ {
			outcomes := make([]bool, leaves)
			for i := range outcomes {
				outcomes[i] = row>>i&1 == 1
			}
			if got(outcomes) != want.holds(outcomes) {
				t.Fatalf("%q with %v: got %v", source, outcomes, got(outcomes))
			}
		}
	})
}

func TestExpressionLeavesBeginWhereTheyAreTold(t *testing.T) {
	f, err := parseExpression("1 and not 2", 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	if !f([]bool{false, false, false, true, false}) || f([]bool{true, true, true, true, true}) {
		t.Error("conditions 1 and 2 are not leaves 3 and 4")
	}
}

func TestErrorsOfExpressionsPointInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		source := rapid.StringMatching(`([0-9]{1,2}|and|or|not|[() ]|[a-zé&]){0,20}`).Draw(t, "source")
		_, err := parseExpression(source, 0, 5)
		if err != nil && (err.column < 1 || err.column > len(source)+1 || err.message == "") {
			t.Fatalf("%q: %v", source, err)
		}
	})
}
