// The stock `caffe` tool with ul2q's layers. BVLC's main is called
// caffe_main there; here a failed CHECK ends in a message and an exit status.
#include <cstdlib>
#include <exception>
#include <iostream>

int caffe_main(int argc, char** argv);

int main(int argc, char** argv) {
  try {
    return caffe_main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "caffe: " << error.what() << std::endl;
    return EXIT_FAILURE;
  }
}
