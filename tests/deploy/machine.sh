#!/usr/bin/env bash
# The root file system of a machine that is thrown away: this machine's own below an overlay in memory, and an installed
# Upkeep in /opt/upkeep. Runs the command that is given in it. Called by machine.py, in namespaces of its own.
#
# Nothing is written below: what is written goes to memory, /proc/sys is read-only, and no unit file, no /tmp and no /run
# of the real machine is to be seen.
set -eu
stage=$1 python=$2 libraries=$3 upkeep=$4 state=$5 etc=$6 access=$7
shift 7
root=$stage/root

mount --make-rprivate /
mount -t tmpfs tmpfs "$stage"
mkdir "$stage/upper" "$stage/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$stage/upper,workdir=$stage/work" "$root"

mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for each in null zero full random urandom tty; do
    touch "$root/dev/$each"
    mount --bind "/dev/$each" "$root/dev/$each"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/var/tmp"

mkdir -p "$root/opt/python" "$root/opt/libraries" "$root/opt/upkeep" "$root/var/lib/upkeep"
mount --bind "$python" "$root/opt/python"
mount --bind "$libraries" "$root/opt/libraries"
mount --bind "$upkeep" "$root/opt/upkeep"
mount --bind "$state" "$root/var/lib/upkeep"
cp -r "$etc/." "$root/etc/"
# The interpreter that runs the tests may bring a library that it looks for where nobody but root may look.
echo /opt/python/lib >"$root/etc/ld.so.conf.d/000-tests.conf"
chroot "$root" /sbin/ldconfig
if [ -e "$root/etc/upkeep/sysusers.conf" ]; then
    systemd-sysusers --root="$root" "$root/etc/upkeep/sysusers.conf"
fi

mkdir "$root/before"
cd "$root"
pivot_root . before
umount -l /before
mount --make-rshared /
[ "$access" = rw ] || mount -o remount,ro /
exec "$@"
