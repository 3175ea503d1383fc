#!/bin/sh
# After the files of the package went. deb: remove, purge; rpm: 0. Data is never
# deleted, and neither is the user to whom it belongs.
set -e
case "${1:-}" in
remove | purge | 0)
	if [ -d /run/systemd/system ]; then
		systemctl daemon-reload
	fi
	# An empty folder is no data; any other stays.
	rmdir /var/lib/parlor 2>/dev/null || true
	;;
esac
if [ "${1:-}" = purge ] && [ -d /var/lib/parlor ]; then
	echo "parlor: the data in /var/lib/parlor stays; delete it yourself if nobody needs it"
fi
