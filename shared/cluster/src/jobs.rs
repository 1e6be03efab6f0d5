//! Jobs: migrations before a rollout, verifications after it.

use crate::error::ClusterError;
use crate::fence::{Standing, fence_of};
use crate::namespace::{FIELD_MANAGER, Namespace};
use crate::objects::{stamped, text};
use crate::pods::observed_pod;
use crate::request::strict;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams, PostParams, Request};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use sluice_domain::ids::Fence;
use sluice_domain::plan::FENCE_ANNOTATION;
use sluice_domain::workload::{ObservedJob, ObservedPod};

/// Where the Job controller puts a Job's name on its pods (Kubernetes, well-known labels).
pub(crate) const JOB_NAME: &str = "batch.kubernetes.io/job-name";

/// What became of a write that the API server answered.
enum Answer {
    Done(Box<Job>),
    /// Made, it was there already; changed, it was gone.
    Otherwise,
    Forbidden(String),
}

impl Namespace {
    /// Makes a Job under a fence. One of this name that this decision has made is left as it is; one with a greater fence is
    /// `Preempted`; one with a lower fence is refused, as a Job runs once: give each try a name of its own.
    pub async fn create_job(&self, manifest: &Value, fence: Fence) -> Result<(), ClusterError> {
        self.check_fence(fence)?;
        let name = text(manifest, "/metadata/name");
        let object = format!("Job {name}");
        match self.send_job(&object, &stamped(manifest, fence)).await? {
            Answer::Done(made) => match fence_of(&made.metadata) {
                seen if seen == fence => Ok(()),
                seen => Err(ClusterError::Altered {
                    object: self.place_of(&object),
                    message: format!("its fence is {seen}, not {fence}"),
                }),
            },
            Answer::Otherwise => self.check_ours(&object, self.job_object(name).await?, fence),
            Answer::Forbidden(message) => {
                let found = self.job_object(name).await?;
                let metadata = found.as_ref().map(|found| &found.metadata);
                self.forbidden(&object, metadata, fence, message)
            }
        }
    }

    fn check_ours(&self, object: &str, found: Option<Job>, fence: Fence) -> Result<(), ClusterError> {
        let Some(found) = found else {
            return Err(ClusterError::Conflict {
                object: self.place_of(object),
                message: "it was deleted while it was read".to_owned(),
            });
        };
        match self.standing(object, &found.metadata, fence)? {
            Standing::Written => Ok(()),
            Standing::Open => Err(ClusterError::Refused {
                object: self.place_of(object),
                message: format!(
                    "one of this name is there from fence {}, and a Job runs once",
                    fence_of(&found.metadata)
                ),
            }),
        }
    }

    /// What is known of a Job and its pods; none where there is no such Job.
    pub async fn job(&self, name: &str) -> Result<Option<ObservedJob>, ClusterError> {
        // Pods first: whatever a pod says, the Job that is read afterwards counts it too.
        let pods = self.pods_of_job(name).await?;
        let found = self.job_object(name).await?;
        Ok(found.map(|job| observed_job(name, &job, pods.iter())))
    }

    /// Ends a Job's pods and keeps the Job: nothing of ours may delete. One that is over, suspended or gone is left as it
    /// is. The fence must be above the one that the Job was made with.
    pub async fn suspend_job(&self, name: &str, fence: Fence) -> Result<(), ClusterError> {
        self.check_fence(fence)?;
        let object = format!("Job {name}");
        let Some(found) = self.job_object(name).await? else {
            return Ok(());
        };
        let seen = observed_job(name, &found, std::iter::empty());
        if seen.complete || seen.failure.is_some() || is_suspended(&found) {
            return Ok(());
        }
        if self.standing(&object, &found.metadata, fence)? == Standing::Written {
            return Err(ClusterError::Invalid {
                object: self.place_of(&object),
                message: format!("it was made with fence {fence}: to suspend it takes a greater one"),
            });
        }
        match self.send_suspension(&object, name, fence).await? {
            Answer::Done(written) if is_suspended(&written) => Ok(()),
            Answer::Done(_) => Err(ClusterError::Altered {
                object: self.place_of(&object),
                message: "it is not suspended".to_owned(),
            }),
            Answer::Otherwise => Ok(()),
            Answer::Forbidden(message) => {
                let found = self.job_object(name).await?;
                let metadata = found.as_ref().map(|found| &found.metadata);
                self.forbidden(&object, metadata, fence, message)
            }
        }
    }

    async fn job_object(&self, name: &str) -> Result<Option<Job>, ClusterError> {
        let get = |client| async move { Api::<Job>::namespaced(client, self.name()).get_opt(name).await };
        self.ask(&format!("Job {name}"), get).await
    }

    pub(crate) async fn pods_of_job(&self, name: &str) -> Result<Vec<Pod>, ClusterError> {
        let own = &ListParams::default().labels(&format!("{JOB_NAME}={name}"));
        let list = |client| async move { Api::<Pod>::namespaced(client, self.name()).list(own).await };
        Ok(self.ask(&format!("the Pods of Job {name}"), list).await?.items)
    }

    async fn send_job(&self, object: &str, body: &Value) -> Result<Answer, ClusterError> {
        let parameters = &PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        let send = |client: Client| async move {
            let body = serde_json::to_vec(body).map_err(kube::Error::SerdeError)?;
            let collection = Request::new(Job::url_path(&(), Some(self.name())));
            let request = collection.create(parameters, body);
            let request = strict(request.map_err(kube::Error::BuildRequest)?)?;
            answer(client.request(request).await)
        };
        self.ask(object, send).await
    }

    async fn send_suspension(&self, object: &str, name: &str, fence: Fence) -> Result<Answer, ClusterError> {
        let parameters = &PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let patch = &Patch::Merge(json!({
            "metadata": {"annotations": {FENCE_ANNOTATION: fence.to_string()}},
            "spec": {"suspend": true},
        }));
        let send = |client| async move {
            let jobs = Api::<Job>::namespaced(client, self.name());
            match jobs.patch(name, parameters, patch).await {
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(Answer::Otherwise),
                other => answer(other),
            }
        };
        self.ask(object, send).await
    }
}

fn answer(result: kube::Result<Job>) -> kube::Result<Answer> {
    match result {
        Ok(written) => Ok(Answer::Done(Box::new(written))),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Answer::Forbidden(status.message)),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Answer::Otherwise),
        Err(error) => Err(error),
    }
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// What a Job and these pods of it say.
pub(crate) fn observed_job<'p>(name: &str, job: &Job, pods: impl Iterator<Item = &'p Pod>) -> ObservedJob {
    let status = job.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let is = |kind: &str| {
        let mut conditions = conditions.iter();
        conditions.find(|condition| condition.type_ == kind && condition.status == "True")
    };
    let count = |number: Option<i32>| number.unwrap_or(0);
    ObservedJob {
        name: name.to_owned(),
        fence: fence_of(&job.metadata),
        active: count(status.active),
        succeeded: count(status.succeeded),
        failed: count(status.failed),
        complete: is("Complete").is_some(),
        failure: is("Failed").map(said),
        problem: pods
            .map(|pod| observed_pod(pod, true))
            .find_map(|pod| problem(&pod)),
    }
}

fn said(condition: &JobCondition) -> String {
    let message = condition.message.as_deref().unwrap_or("no reason is given");
    match condition.reason.as_deref() {
        Some(reason) => format!("{reason}: {message}"),
        None => message.to_owned(),
    }
}

/// Why a pod can never start. One that crashes is started again until the Job's own limit is reached, which it then says.
fn problem(pod: &ObservedPod) -> Option<String> {
    let crashed = pod
        .problem
        .as_ref()
        .is_some_and(|problem| problem.reason == "CrashLoopBackOff");
    let counts = !crashed && !pod.terminating && !pod.ended;
    counts.then(|| pod.trouble()).flatten()
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
