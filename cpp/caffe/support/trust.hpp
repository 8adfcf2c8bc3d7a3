#ifndef UL2Q_SUPPORT_TRUST_HPP_
#define UL2Q_SUPPORT_TRUST_HPP_

namespace ul2q {

/// Says whether the nets that this process makes come from people who are not
/// trusted: layers that run code or write files are refused then. At the start
/// the environment says it: UL2Q_UNTRUSTED=1.
void SetUntrusted(bool untrusted);

/// What was set last. Throws CaffeError if UL2Q_UNTRUSTED is neither 0 nor 1.
bool IsUntrusted();

/// Throws CaffeError if nets are not trusted. `does` says of a layer what it
/// would do: "runs code of the module 'm'".
void RefuseIfUntrusted(const char* does);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_TRUST_HPP_
