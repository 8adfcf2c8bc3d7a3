#ifndef UL2Q_SUPPORT_RUN_OR_EXIT_HPP_
#define UL2Q_SUPPORT_RUN_OR_EXIT_HPP_

#include <cstdlib>
#include <exception>
#include <iostream>

namespace ul2q {

/// Runs the part of a program that other threads wait for and that cannot tell
/// them of an error: an exception is printed and ends the process.
template <typename Function>
void RunOrExit(const Function& function) {
  try {
    function();
  } catch (const std::exception& error) {
    std::cerr << "caffe: " << error.what() << std::endl;
    // No destructors run: they would wait for those threads.
    std::_Exit(EXIT_FAILURE);
  }
}

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_RUN_OR_EXIT_HPP_
