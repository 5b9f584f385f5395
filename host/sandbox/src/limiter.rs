//! The memory account of one attempt: all memories and all tables together, and how often it said
//! no.
//!
//! wasmtime's own `StoreLimits` counts each memory by itself, so a plugin of several modules would
//! get a multiple of its limit.

use wasmtime::ResourceLimiter;

use crate::config::ShapeLimits;

/// See the module.
pub(crate) struct Limiter {
    max_bytes: u64,
    max_elements: u64,
    max_memories: usize,
    max_tables: usize,
    max_instances: usize,
    bytes: u64,
    elements: u64,
    /// What the last yes added, to be taken back when the growth fails after all.
    granted: u64,
    peak_bytes: u64,
    denials: u32,
}

impl Limiter {
    pub(crate) fn new(memory_bytes: u64, shape: &ShapeLimits) -> Self {
        Self {
            max_bytes: memory_bytes,
            max_elements: u64::from(shape.table_elements),
            max_memories: shape.memories as usize,
            max_tables: shape.tables as usize,
            max_instances: shape.modules as usize,
            bytes: 0,
            elements: 0,
            granted: 0,
            peak_bytes: 0,
            denials: 0,
        }
    }

    /// The most linear memory that the attempt held at one time.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// How often memory or table space was refused.
    pub(crate) fn denials(&self) -> u32 {
        self.denials
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.granted = 0;
        let added = desired.saturating_sub(current) as u64;
        // Before the maximum, which is the module's own or the pool's: the latter is one of our
        // limits too.
        if self.bytes.saturating_add(added) > self.max_bytes {
            self.denials = self.denials.saturating_add(1);
            return Ok(false);
        }
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.bytes += added;
        self.granted = added;
        self.peak_bytes = self.peak_bytes.max(self.bytes);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        // Granted here and yet impossible: the operator's ceiling in the pool.
        if self.granted > 0 {
            self.bytes -= self.granted;
            self.granted = 0;
            self.denials = self.denials.saturating_add(1);
        }
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let added = desired.saturating_sub(current) as u64;
        if self.elements.saturating_add(added) > self.max_elements {
            self.denials = self.denials.saturating_add(1);
            return Ok(false);
        }
        if maximum.is_some_and(|most| desired > most) {
            return Ok(false);
        }
        self.elements += added;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.max_instances
    }

    fn tables(&self) -> usize {
        self.max_tables
    }

    fn memories(&self) -> usize {
        self.max_memories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(bytes: u64) -> Limiter {
        Limiter::new(bytes, &ShapeLimits::default())
    }

    #[test]
    fn memories_are_summed() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert_eq!((limiter.peak_bytes(), limiter.denials()), (100, 1));
    }

    #[test]
    fn a_growth_that_fails_is_taken_back_once() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 100, None).unwrap());
        limiter.memory_grow_failed(wasmtime::format_err!("no")).unwrap();
        limiter.memory_grow_failed(wasmtime::format_err!("no")).unwrap();
        assert!(limiter.memory_growing(0, 100, None).unwrap());
    }

    #[test]
    fn the_declared_maximum_is_not_a_denial() {
        let mut limiter = limiter(100);
        assert!(!limiter.memory_growing(0, 50, Some(40)).unwrap());
        assert_eq!(limiter.denials(), 0);
    }
}
