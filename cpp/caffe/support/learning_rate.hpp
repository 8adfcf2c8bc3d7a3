#ifndef UL2Q_SUPPORT_LEARNING_RATE_HPP_
#define UL2Q_SUPPORT_LEARNING_RATE_HPP_

namespace ul2q {

/// What the learning rate of iteration `iter`, from 0, is multiplied by under
/// the policy "cosine": (1 + cos(pi iter / max_iter)) / 2, from 1 in the
/// beginning to 0 at `max_iter`, which is positive; 0 beyond that.
/// Source: Loshchilov and Hutter, "SGDR", 2017, equation 5 without restarts.
double CosineDecay(int iter, int max_iter);

/// What the learning rate of iteration `iter`, from 0, is multiplied by while
/// it warms up: (iter + 1) / warmup_iter, so that the iterations before
/// `warmup_iter` rise in equal steps and their last one has the whole rate; 1
/// from there on, and where `warmup_iter` is 0.
/// Source: Goyal et al., "Accurate, Large Minibatch SGD", 2017, section 2.2.
double WarmUp(int iter, int warmup_iter);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LEARNING_RATE_HPP_
