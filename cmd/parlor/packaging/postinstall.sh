#!/bin/sh
# After the files of the package are there. deb: configure [OLD-VERSION]; rpm: 1
# for an installation, 2 for an upgrade.
set -e
case "${1:-}" in
configure | [1-9]*) ;;
*) exit 0 ;;
esac

if ! getent group parlor >/dev/null; then
	groupadd --system parlor
fi
if ! getent passwd parlor >/dev/null; then
	useradd --system --gid parlor --home-dir /var/lib/parlor --no-create-home \
		--shell /usr/sbin/nologin --comment "Parlor live chat" parlor
fi
# Here already, so that parlor init and parlor join can be called before the
# service has been started once. What is there keeps its rights.
if [ ! -e /var/lib/parlor ]; then
	install -d -o parlor -g parlor -m 0700 /var/lib/parlor
fi

# A new node is not started by itself: it would form a group of its own, though
# it may be meant to join one. One that runs goes on with the new program.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	if command -v deb-systemd-invoke >/dev/null; then
		deb-systemd-invoke try-restart parlor.service
	else
		systemctl try-restart parlor.service
	fi
fi
