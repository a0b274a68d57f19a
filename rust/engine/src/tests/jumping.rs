//! tokio, as tests with a clock that jumps see it: `#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]`.
//!
//! Such a clock jumps to its next timer as soon as no task is ready, and bytes that a busy machine's kernel has not handed
//! over yet make no task ready. So the thread gives its turn away before each such look.

pub(crate) use tokio::pin;

pub(crate) mod runtime {
    pub(crate) struct Builder;

    impl Builder {
        pub(crate) fn new_current_thread() -> tokio::runtime::Builder {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.on_thread_park(std::thread::yield_now);
            builder
        }
    }
}
