#!/bin/sh
# Before the files of the package go. deb: remove; rpm: 0. During an upgrade
# (deb: upgrade, rpm: 1) the old program runs until the new one is there.
set -e
case "${1:-}" in
remove | 0)
	if [ -d /run/systemd/system ]; then
		systemctl disable --now parlor.service
	fi
	;;
esac
