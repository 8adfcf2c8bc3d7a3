#include "support/lmdb_check.hpp"

#include <glog/logging.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>

#include "caffe/util/db_lmdb.hpp"

namespace ul2q {

void ThrowOnDamage(MDB_env* environment) {
  mdb_env_set_assert(environment, [](MDB_env*, const char* failed) {
    LOG(FATAL) << "The LMDB is damaged: " << failed;
  });
}

void CheckWhole(MDB_env* environment, const std::string& source) {
  using caffe::db::MDB_CHECK;
  MDB_envinfo info;
  MDB_stat pages;
  mdb_filehandle_t file;
  struct stat size;
  MDB_CHECK(mdb_env_info(environment, &info));
  MDB_CHECK(mdb_env_stat(environment, &pages));
  MDB_CHECK(mdb_env_get_fd(environment, &file));
  CHECK_EQ(fstat(file, &size), 0) << source;
  CHECK_GE(static_cast<std::size_t>(size.st_size),
           (info.me_last_pgno + 1) * pages.ms_psize)
      << source << " is cut short";
}

unsigned int LockFlag(const std::string& source) {
  const std::string lock = source + "/lock.mdb";
  const bool has_lock = access(lock.c_str(), F_OK) == 0;
  const std::string& written = has_lock ? lock : source;
  return access(written.c_str(), W_OK) == 0 ? 0 : MDB_NOLOCK;
}

}  // namespace ul2q
