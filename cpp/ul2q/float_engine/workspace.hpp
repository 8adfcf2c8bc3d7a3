#ifndef UL2Q_FLOAT_ENGINE_WORKSPACE_HPP_
#define UL2Q_FLOAT_ENGINE_WORKSPACE_HPP_

#include <cstddef>

namespace ul2q {

/// What buffers in a workspace are aligned to, in bytes.
constexpr std::size_t kWorkspaceAlignment = 4096;

/// `bytes` of memory for the calling thread, uninitialised and valid until its
/// next call of this function: for what a layer keeps no longer than a pass.
///
/// All layers that the thread runs share it, so it grows to what the neediest
/// of them asks for, and is freed with the thread. std::bad_alloc if there is
/// no memory.
std::byte* Workspace(std::size_t bytes);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_WORKSPACE_HPP_
