#!/bin/sh
# mxoss @VERSION@ in one file: this script, and behind it an archive of the program, its model and the Deno runtime. Once per version it is
# unpacked into the user's cache directory; every start after that is one exec of what lies there. To be rid of it, delete that directory.
#
# Needs a POSIX shell; the first start also tail, gzip, tar, wc, find, mktemp, id and the like, as they are in coreutils and in busybox.
version='@VERSION@' id='@ID@' offset=@OFFSET@ size=@SIZE@
newline='
'

# The program in directory $1 takes this process over. May write only where the command line names something to write; which of the
# permissions it keeps is then narrowed by the program itself (src/cli/permissions.ts).
start() {
  program=$1 write=
  shift
  for argument do
    case $argument in
      --) break ;;
      --out | --out=*) write=@WRITE_PERMISSION@ ;;
    esac
  done
  # Deno keeps compiled code there; nothing of it goes into the user's own Deno directory.
  DENO_DIR=$program/state DENO_NO_UPDATE_CHECK=1
  export DENO_DIR DENO_NO_UPDATE_CHECK
  exec "$program/deno" run --quiet --cached-only @FLAGS@ $write "$program/main.js" "$@"
}

die() {
  printf 'error: %s\n' "$1" >&2
  exit 1
}

# Calls $1 with each directory that may hold the unpacked program, until one call succeeds.
each_place() {
  case ${XDG_CACHE_HOME-} in
    /*) "$1" "$XDG_CACHE_HOME/mxoss" && return ;;
  esac
  case ${HOME-} in
    /*) [ -d "$HOME" ] && "$1" "$HOME/.cache/mxoss" && return ;;
  esac
  user=$(PATH=$tools; id -u) || return
  for above in "${TMPDIR:-/tmp}" /tmp /var/tmp; do
    # Where anybody may make links, one of another user's could lead anywhere.
    [ ! -h "$above/mxoss-$user" ] && "$1" "$above/mxoss-$user" && return
  done
}

# Whether directory $1 holds the whole program, and nobody else could have put it there.
whole() {
  [ -f "$1/complete" ] && [ -x "$1/deno" ] && [ -f "$1/main.js" ] && [ -O "$1" ]
}

found() {
  [ -O "$1" ] && whole "$1/$id" && program=$1/$id
}

# Place $1 is of no use, and $2 says why, in several lines perhaps, an empty one first.
refuse() {
  why=${2#"$newline"}
  problems="$problems${problems:+; }$1: ${why%%"$newline"*}"
  [ -z "$part" ] || rm -rf "$part"
  part=
  rmdir "$1" 2>/dev/null
  return 1
}

# Unpacks into place $1: under a name of its own, which is given up for the real one when everything is there. So whoever finds the
# real name finds all of it, also when several processes unpack at once or are killed.
unpack() {
  part=
  (umask 077 && mkdir -p "$1") 2>/dev/null || refuse "$1" 'cannot be made' || return
  [ -O "$1" ] || refuse "$1" 'belongs to another user' || return
  part=$(mktemp -d "$1/.part.XXXXXX" 2>/dev/null) || refuse "$1" 'cannot be written' || return
  # What killed first starts left; a day is more than any running one takes.
  find "$1" -maxdepth 1 -name '.part.*' -mtime +0 -exec rm -rf {} + 2>/dev/null

  # The status of a pipeline is that of its last command; a broken archive is gzip's to notice. It must not see its reader go before it is
  # done, which a tar may at the end of the archive.
  problem=$(
    exec 2>&1
    cd "$part" || exit
    tail -c "+$offset" "$self" | { gzip -dc || : >damaged; } | { tar -xomf - && cat >/dev/null; } && [ ! -e damaged ]
  ) || refuse "$1" "${problem:-cannot be unpacked}" || return
  problem=$("$part/deno" --version 2>&1) || refuse "$1" "the unpacked runtime does not start: $problem" || return
  # To the disk before its real name is; a sync without operands does it too, for a longer list of files.
  find "$part" -type f -exec sync {} + 2>/dev/null || sync
  echo "$id" >"$part/complete" || refuse "$1" 'cannot be written' || return

  # A program that has lost files, to somebody who tidies up for instance, makes room.
  [ ! -e "$1/$id" ] || whole "$1/$id" || mv -f "$1/$id" "$part/broken" || refuse "$1" 'cannot be written' || return
  mv -f "$part" "$1/$id" || refuse "$1" 'cannot be written' || return
  # If another process was faster, mv has put ours into its directory instead.
  rm -rf "$1/$id/${part##*/}" "$1/$id/broken"
  part=
  whole "$1/$id" || refuse "$1" 'is being changed by somebody'
}

tools=${PATH:+$PATH:}/usr/bin:/bin
each_place found && start "$program" "$@"

case $0 in
  /*) self=$0 ;;
  *) self=$PWD/$0 ;;
esac
(
  PATH=$tools LC_ALL=C
  export PATH LC_ALL
  bytes=$(wc -c <"$self") || die "$0: cannot be read"
  [ "$((bytes))" -eq "$size" ] || die "$0: expected $size bytes, got $((bytes)): the file is damaged"
  problems='' part=''
  trap '[ -z "$part" ] || rm -rf "$part"; exit 130' HUP INT TERM
  each_place unpack || die "mxoss $version cannot be unpacked, which takes @MEGABYTES@ MB: $problems"
) || exit
each_place found && start "$program" "$@"
die "mxoss $version was unpacked, but is gone"
