//! An application: a name, a plan, and the graph that was learned from it.

use std::{cell::RefCell, fmt, sync::Arc};

use bumpalo::Bump;

use crate::{
    batch::names,
    flow::{
        Call, Error, Graph, Input, Limits, Mode, Onces, Placement, Position, Progress, Scope,
        TimeRange,
    },
    state::KeyGroups,
};

/// A plan as the runtime holds it: one virtual call for each batch, and nothing else that depends on users' types.
pub type Plan = Arc<dyn Fn(Scope<'_>) + Send + Sync>;

/// A plan with a name. The name is the application's id in Kafka: its consumer group and the prefix of its internal topics.
///
/// **The body of a plan runs for each batch of records**, and once without data, here, to learn which operators there are.
///
/// ```
/// use engine::{flow::Scope, plan::App};
///
/// fn wordcount(s: Scope<'_>) {
///     s.source("lines").utf8()
///         .flat_map(|line| line.split_ascii_whitespace())
///         .key_by(|w| w)
///         .count()
///         .sink("counts");
/// }
/// let app = App::new("wordcount", wordcount)?;
/// assert_eq!(app.graph().sources().collect::<Vec<_>>(), [(0, "lines")]);
/// println!("{}", app.explain());
/// # Ok::<(), engine::flow::Error>(())
/// ```
#[derive(Clone)]
pub struct App {
    name: Arc<str>,
    plan: Plan,
    graph: Arc<Graph>,
}

impl App {
    /// Learns the plan's graph by calling it once without data.
    ///
    /// # Errors
    /// When the plan reads nothing, a stream goes nowhere, or a name is used twice. [`Error::Name`] when the application's name, or one in
    /// the plan, cannot be that of topics: letters, digits, '.', '_' and '-', at most 249 of them.
    pub fn new(
        name: &str,
        plan: impl Fn(Scope<'_>) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        if let Some(expected) = names::expected(name) {
            return Err(Error::Name {
                what: "application".to_owned(),
                name: name.to_owned(),
                expected,
            });
        }
        let plan: Plan = Arc::new(plan);
        Ok(Self {
            name: name.into(),
            graph: Arc::new(learn(&plan)?),
            plan,
        })
    }

    /// The application's id.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What was learned.
    #[must_use]
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The function itself.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The graph as text, an operator a line.
    #[must_use]
    pub fn explain(&self) -> String {
        self.graph.explain()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("name", &self.name)
            .field("graph", &self.graph)
            .finish_non_exhaustive()
    }
}

fn learn(plan: &Plan) -> Result<Graph, Error> {
    let graph = RefCell::new(Graph::default());
    let (onces, bump) = (Onces::default(), Bump::new());
    let placement = Placement {
        keys: KeyGroups::new(0, 1),
        state_dir: None,
        state_marks: Vec::new(),
        owners: vec![0],
        me: 0,
        workers: 1,
    };
    let call = Call {
        mode: Mode::Learn(&graph),
        slots: &[],
        onces: &onces,
        bump: &bump,
        placement: &placement,
        input: Input::Tick,
        from: Position::START,
        limits: Limits::default(),
        now_ms: 0,
        elapsed_ms: 0,
        writable: TimeRange::ALL,
        share_rows: 0,
        cursor: std::cell::Cell::default(),
        progress: Progress::new(Position::START),
    };
    plan(Scope::new(&call));
    if let Some(error) = call.progress.error.borrow_mut().take() {
        return Err(error);
    }
    let graph = graph.borrow().clone();
    graph.check()?;
    Ok(graph)
}
