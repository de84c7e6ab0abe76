//! The controller of a test, in this process.

use std::{fmt, path::Path};

use rescind_controller::{Controller, ControllerConfig};

use crate::{
    error::{KitError, KitResult},
    wait::SOON,
};

/// A running controller.
pub struct TestController {
    controller: Controller,
}

impl fmt::Debug for TestController {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestController").field("url", &self.url()).finish()
    }
}

impl TestController {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Its configuration, its log, its port or the bus.
    pub async fn start(config: &Path) -> KitResult<Self> {
        let config = ControllerConfig::load(config)
            .map_err(KitError::because("load the controller's configuration"))?;
        let controller =
            Controller::start(config).await.map_err(KitError::because("start the controller"))?;
        let ready = controller.wait_ready(SOON).await;
        ready.map_err(|why| KitError::new(format!("wait for the controller: {}", why.reasons.join(", "))))?;
        Ok(Self { controller })
    }

    /// Where its API is, `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        self.controller.url()
    }

    /// Where its direct path is, if it has one.
    #[must_use]
    pub fn direct_addr(&self) -> Option<std::net::SocketAddr> {
        self.controller.direct_addr()
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.controller.stop().await;
    }
}
