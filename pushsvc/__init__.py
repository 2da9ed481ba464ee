"""pushsvc delivers push notifications: audiences, schedules, APNs, FCM and WNS."""

__version__ = "0.1.0"
