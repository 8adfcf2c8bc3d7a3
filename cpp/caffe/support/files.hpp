#ifndef UL2Q_SUPPORT_FILES_HPP_
#define UL2Q_SUPPORT_FILES_HPP_

#include <functional>
#include <string>

namespace ul2q {

/// Throws FileNotFound if nothing is at `path`, and CaffeError if it cannot be
/// read. `file` and `line` are the caller's.
void CheckReadable(const std::string& path, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());

/// Runs `read`, which takes something from the file at `path`: a CaffeError of
/// it names the file, and so does one that tells of too little memory.
void NamingFile(const std::string& path, const std::function<void()>& read);

/// The text of errno's present value.
std::string LastSystemError();

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_FILES_HPP_
