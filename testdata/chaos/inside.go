package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
)

// insideEnv says to a process of ours that it has a network and mounts of its
// own.
const insideEnv = "PARLOR_CHAOS_INSIDE"

func inside() bool { return os.Getenv(insideEnv) != "" }

// loopback brings up what a new network has down.
func loopback() error { return sh("ip", "link", "set", "lo", "up") }

// goInside runs this program again, with the arguments given besides, where
// its network and its mounts are its own and end with it, however it ends. It
// gives what became of it, or errNoRights.
func goInside(args ...string) error {
	if os.Geteuid() != 0 {
		return errNoRights
	}
	cmd := exec.Command("/proc/self/exe", append(os.Args[1:], args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGTERM,
	}
	runtime.LockOSThread() // Pdeathsig means the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) {
			return errNoRights
		}
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s)
		}
	}()
	return cmd.Wait()
}

var errNoRights = errors.New("no rights for a network and mounts of one's own")

// sh runs a command of the system.
func sh(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return nil
}
