module github.com/parlorchat/parlor/testdata/chaos

go 1.26

require github.com/anishathalye/porcupine v1.3.1

require github.com/parlorchat/parlor/testdata/powercut v0.0.0

require (
	github.com/hanwen/go-fuse/v2 v2.12.1 // indirect
	golang.org/x/sys v0.28.0 // indirect
)

replace github.com/parlorchat/parlor/testdata/powercut => ../powercut
