#include "support/files.hpp"

#include <glog/logging.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <system_error>

#include "support/caffe_error.hpp"

namespace ul2q {

void CheckReadable(const std::string& path, const char* file, int line) {
  if (access(path.c_str(), R_OK) == 0) {
    return;
  }
  const int error = errno;
  const char* slash = std::strrchr(file, '/');
  file = slash != nullptr ? slash + 1 : file;
  if (error == ENOENT || error == ENOTDIR) {
    throw FileNotFound(path, file, line);
  }
  throw CaffeError(
      "Cannot read " + path + ": " + std::generic_category().message(error),
      file, line);
}

void NamingFile(const std::string& path, const std::function<void()>& read) {
  try {
    read();
  } catch (const FileNotFound&) {
    throw;
  } catch (const CaffeError& error) {
    if (error.message().find(path) != std::string::npos) {
      throw;
    }
    throw error.In(path);
  } catch (const std::bad_alloc&) {
    LOG(FATAL) << path << ": there is not enough memory for what it holds";
  }
}

std::string LastSystemError() { return std::generic_category().message(errno); }

}  // namespace ul2q
