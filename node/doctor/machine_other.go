//go:build !linux

package doctor

// Elsewhere than on Linux these things are not looked at.

func fileSystem(string) []Finding { return []Finding{skipped("file system")} }

func space(string) Finding { return skipped("disk space") }

func clockSource() []Finding { return []Finding{skipped("clock")} }

func limits() []Finding { return []Finding{skipped("open files")} }

func memoryFindings() []Finding { return []Finding{skipped("memory")} }

func skipped(check string) Finding {
	return Finding{Check: check, Status: Skip, Found: "known on Linux only"}
}
