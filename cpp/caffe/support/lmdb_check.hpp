#ifndef UL2Q_SUPPORT_LMDB_CHECK_HPP_
#define UL2Q_SUPPORT_LMDB_CHECK_HPP_

#include <lmdb.h>

#include <string>

namespace ul2q {

/// Makes a failed assertion of LMDB's throw CaffeError; without this it aborts
/// the process.
void ThrowOnDamage(MDB_env* environment);

/// Throws CaffeError if the file of an open LMDB is shorter than the pages that
/// are in use: LMDB maps the file, and the first touch of what is missing at
/// its end is a bus error. `source` is the LMDB's path.
void CheckWhole(MDB_env* environment, const std::string& source);

/// MDB_NOLOCK for an LMDB whose lock file cannot be written, or made where
/// there is none, and else 0. A reader leaves its mark in that file.
unsigned int LockFlag(const std::string& source);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LMDB_CHECK_HPP_
