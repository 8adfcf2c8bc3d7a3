#ifndef UL2Q_CORE_THREADS_HPP_
#define UL2Q_CORE_THREADS_HPP_

namespace ul2q {

/// Makes the number of threads that OpenMP names in the calling thread
/// (`omp_get_max_threads`) one that it gives. With OMP_THREAD_LIMIT or
/// OMP_DYNAMIC it may give fewer, and OpenBLAS and oneDNN, which divide their
/// work by the number named, wait for the missing ones for ever.
///
/// Before each call into Caffe: other libraries change the number, too. The
/// first thread of a program has it done when this library is loaded.
///
/// With this library, a child of fork() has threads of its own: GNU OpenMP's
/// idle ones are dismissed before each fork, or the child, which does not have
/// them, would wait for them in its first pass.
void UseThreadsThatAreGiven();

}  // namespace ul2q

#endif  // UL2Q_CORE_THREADS_HPP_
